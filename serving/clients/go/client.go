// Package darkroom asks a Darkroom server for the classes of images. Standard library only.
//
//	client := darkroom.Client{URL: "http://127.0.0.1:8080", Model: "digits"}
//	classes, err := client.Classify(bytesOfAPhoto, 3)
package darkroom

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// headerLength says how many bytes in front of binary tensors are JSON: the Open Inference
// Protocol's binary tensor data extension.
const headerLength = "Inference-Header-Content-Length"

// Client asks one model of one server.
type Client struct {
	URL   string // of the server, such as http://127.0.0.1:8080
	Model string
	Token string       // of the server's --token-file; empty where it has none
	HTTP  *http.Client // nil: one that waits for a minute at most
}

// Class is a label with its probability, which is NaN where the model gave none.
type Class struct {
	Label       string  `json:"label"`
	Probability float64 `json:"probability"`
}

// Classify gives the `top` most probable classes of an encoded image (JPEG, PNG, GIF, BMP, WEBP),
// the most probable first. The server turns and fits it. An error of the server is its
// own sentence.
func (c Client) Classify(image []byte, top int) ([]Class, error) {
	path := "classify?top=" + strconv.Itoa(top)
	body, _, err := c.post(path, image, map[string]string{"Content-Type": "application/octet-stream"})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Classes []struct {
			Label       string
			Probability *float64 // JSON has no NaN: it comes as null, which would be 0 as a float64
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	classes := make([]Class, len(answer.Classes))
	for i, found := range answer.Classes {
		classes[i] = Class{found.Label, math.NaN()}
		if found.Probability != nil {
			classes[i].Probability = *found.Probability
		}
	}
	return classes, nil
}

// Infer gives the probabilities of all classes, a row for each image. `pixels` are those of `shape`
// (images, height, width, channels), 0 to 255, in this order: the size that the model takes.
func (c Client) Infer(pixels []byte, shape [4]int) ([][]float32, error) {
	header, err := json.Marshal(map[string]any{
		"inputs": []any{map[string]any{
			"name": "image", "datatype": "UINT8", "shape": shape,
			"parameters": map[string]int{"binary_data_size": len(pixels)},
		}},
		"parameters": map[string]bool{"binary_data_output": true},
	})
	if err != nil {
		return nil, err
	}
	size := strconv.Itoa(len(header))
	body, answered, err := c.post("infer", append(header, pixels...), map[string]string{headerLength: size})
	if err != nil {
		return nil, err
	}
	start, err := strconv.Atoi(answered.Get(headerLength))
	if err != nil || start > len(body) || shape[0] < 1 {
		return nil, fmt.Errorf("the answer has no binary tensor behind its JSON")
	}
	values := make([]float32, (len(body)-start)/4)
	if err := binary.Read(bytes.NewReader(body[start:]), binary.LittleEndian, values); err != nil {
		return nil, err
	}
	classes := len(values) / shape[0]
	rows := make([][]float32, shape[0])
	for i := range rows {
		rows[i] = values[i*classes : (i+1)*classes]
	}
	return rows, nil
}

func (c Client) post(path string, body []byte, headers map[string]string) ([]byte, http.Header, error) {
	address := strings.TrimRight(c.URL, "/") + "/v2/models/" + url.PathEscape(c.Model) + "/" + path
	request, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	client := c.HTTP
	if client == nil {
		client = &http.Client{Timeout: time.Minute}
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, fmt.Errorf("%s gives no answer: %w", c.URL, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, nil, err
	}
	if response.StatusCode != http.StatusOK {
		var failure struct{ Error string }
		if json.Unmarshal(answer, &failure) != nil || failure.Error == "" {
			return nil, nil, fmt.Errorf("%s answered %s", address, response.Status)
		}
		return nil, nil, fmt.Errorf("%s", failure.Error)
	}
	return answer, response.Header, nil
}
