module darkroom

go 1.21
