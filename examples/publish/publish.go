// Publishes an event: go run publish.go http://localhost:3000
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	event, err := json.Marshal(map[string]any{
		"topic": "orders/42", "event": "paid", "data": map[string]int{"total": 99}, "id": "payment-1",
	})
	if err != nil {
		log.Fatal(err)
	}
	response, err := http.Post(os.Args[1]+"/publish", "application/json", bytes.NewReader(event))
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		problem, _ := io.ReadAll(response.Body)
		log.Fatalf("%s: %s", response.Status, problem)
	}
	var answer struct{ ID string }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.ID)
}
