// forward joins connections to a socket of one network namespace with an address of another: it
// inherits a listening socket, which stays in the namespace where it was made, and dials in its own.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"example.test/lifeline"
)

const dialTimeout = 5 * time.Second

func main() {
	lifeline.Watch()
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "forward:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 2 {
		return errors.New("usage: forward DESCRIPTOR HOST:PORT")
	}
	descriptor, err := strconv.Atoi(arguments[0])
	if err != nil {
		return err
	}
	listener, err := net.FileListener(os.NewFile(uintptr(descriptor), "listener"))
	if err != nil {
		return err
	}
	for {
		near, err := listener.Accept()
		if err != nil {
			return err
		}
		go join(near.(*net.TCPConn), arguments[1])
	}
}

// join copies both ways and hands on each side's end of writing.
func join(near *net.TCPConn, address string) {
	defer near.Close()
	dialed, err := net.DialTimeout("tcp", address, dialTimeout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "forward:", err)
		return
	}
	far := dialed.(*net.TCPConn)
	defer far.Close()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		io.Copy(near, far)
		near.CloseWrite()
	}()
	io.Copy(far, near)
	far.CloseWrite()
	<-answered
}
