package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// serveBare is the main function of the limit of all answers: a gin engine that does
// nothing but send recorded ones. It prints its address, and serves until its input ends.
func serveBare(in io.Reader, out io.Writer) error {
	input := json.NewDecoder(bufio.NewReader(in))
	var answers []answer
	if err := input.Decode(&answers); err != nil {
		return err
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	for _, a := range answers {
		engine.Handle(a.Method, a.Path, a.send())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, ln.Addr())
	go http.Serve(ln, engine)
	if _, err := input.Token(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// byServer are the headers that net/http sends by itself.
var byServer = []string{"Date", "Connection"}

func (a answer) send() gin.HandlerFunc {
	header := slices.DeleteFunc(a.Header, func(h [2]string) bool { return slices.Contains(byServer, h[0]) })
	return func(c *gin.Context) {
		h := c.Writer.Header()
		for _, one := range header {
			h.Add(one[0], one[1])
		}
		c.Status(a.Status)
		if len(a.Body) > 0 {
			c.Writer.Write(a.Body)
		}
	}
}

// bareServer is a running process of serveBare.
type bareServer struct {
	address string
	pid     int
	stop    func()
}

func startBare(answers []answer) (*bareServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	first, err := json.Marshal(answers)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, bareCommand)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() { in.Close(); cmd.Wait() }
	_, err = io.Copy(in, bytes.NewReader(first))
	if err == nil {
		var line string
		if line, err = bufio.NewReader(out).ReadString('\n'); err == nil {
			return &bareServer{strings.TrimSpace(line), cmd.Process.Pid, stop}, nil
		}
	}
	stop()
	return nil, fmt.Errorf("start bare gin handler: %w", err)
}
