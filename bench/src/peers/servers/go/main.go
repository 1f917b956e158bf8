// The fan-out server of the tutorials on net/http: a channel for each client, and a Flush for each event.
// A reader that stalls holds up everybody once its channel is full.
package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
)

// Events that a client may be behind.
const channelSize = 64

type client struct {
	events chan []byte
	gone   <-chan struct{}
}

type broker struct {
	mutex   sync.Mutex
	clients map[*client]struct{}
	epoch   string
	last    int
}

func (b *broker) publish(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	b.mutex.Lock()
	b.last++
	id := fmt.Sprintf("%s-%d", b.epoch, b.last)
	event := []byte(fmt.Sprintf("id: %s\ndata: %s\n\n", id, data))
	for c := range b.clients {
		select {
		case c.events <- event:
		case <-c.gone:
		}
	}
	b.mutex.Unlock()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"id":"%s"}`, id)
}

func (b *broker) events(w http.ResponseWriter, r *http.Request) {
	flusher, ok := w.(http.Flusher)
	if !ok {
		http.Error(w, "streaming is not supported", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Connection", "keep-alive")

	c := &client{events: make(chan []byte, channelSize), gone: r.Context().Done()}
	b.mutex.Lock()
	b.clients[c] = struct{}{}
	b.mutex.Unlock()
	defer func() {
		b.mutex.Lock()
		delete(b.clients, c)
		b.mutex.Unlock()
	}()

	fmt.Fprint(w, ":\n\n")
	flusher.Flush()
	for {
		select {
		case event := <-c.events:
			if _, err := w.Write(event); err != nil {
				return
			}
			flusher.Flush()
		case <-c.gone:
			return
		}
	}
}

func main() {
	random := make([]byte, 5)
	if _, err := rand.Read(random); err != nil {
		log.Fatal(err)
	}
	b := &broker{clients: map[*client]struct{}{}, epoch: fmt.Sprintf("%x", random)}
	http.HandleFunc("/publish", b.publish)
	http.HandleFunc("/events", b.events)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
