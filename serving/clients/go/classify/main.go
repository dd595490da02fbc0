// Command classify prints the most probable classes of images:
//
//	go run ./classify URL MODEL IMAGE... [--top K] [--token TOKEN]
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"darkroom"
)

func main() {
	top := flag.Int("top", 3, "how many classes")
	token := flag.String("token", os.Getenv("DARKROOM_TOKEN"), "what the server's --token-file holds")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: classify URL MODEL IMAGE... [--top K] [--token TOKEN]")
		flag.PrintDefaults()
	}
	var words []string
	// flag stops at the first word that is no option; here options may come after the images.
	for rest := os.Args[1:]; ; {
		flag.CommandLine.Parse(rest)
		if flag.NArg() == 0 {
			break
		}
		words, rest = append(words, flag.Arg(0)), flag.Args()[1:]
	}
	if len(words) < 3 {
		flag.Usage()
		os.Exit(2)
	}
	client := darkroom.Client{URL: words[0], Model: words[1], Token: *token}
	for _, path := range words[2:] {
		image, err := os.ReadFile(path)
		if err != nil {
			fail(err)
		}
		classes, err := client.Classify(image, *top)
		if err != nil {
			fail(err)
		}
		var texts []string
		for _, class := range classes {
			texts = append(texts, fmt.Sprintf("%s %.4f", class.Label, class.Probability))
		}
		fmt.Printf("%s: %s\n", path, strings.Join(texts, ", "))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
