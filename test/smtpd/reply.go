package smtpd

import (
	"bytes"
	"net"
	"strings"
	"sync"
)

// The steps of the dialogue at which a server can answer otherwise: see Reply. Others are
// the commands, such as EHLO, STARTTLS, AUTH, MAIL, RCPT and DATA.
const (
	Greeting = "greeting"
	Body     = "body" // the answer to a whole mail
)

// Reply makes the server answer a step with a reply, such as "421 4.3.2 too busy", until
// Reply is called with an empty one. Replies to what comes over TLS stay as they are.
func (s *Server) Reply(step, reply string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replies == nil {
		s.replies = map[string]string{}
	}
	s.replies[step] = reply
}

// Said returns the lines that clients have sent in the clear, without the mails.
func (s *Server) Said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.said...)
}

// prompter is a listener whose connections answer as Server.Reply says.
type prompter struct {
	net.Listener
	server *Server
}

func (p *prompter) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &prompted{Conn: conn, server: p.server, step: Greeting}, nil
}

// prompted is a connection that knows at which step of the dialogue it is.
type prompted struct {
	net.Conn
	server *Server
	mu     sync.Mutex
	step   string // that the server answers next
	quiet  bool   // what comes is a mail, or TLS
}

func (c *prompted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.quiet {
		if c.step == Body && bytes.HasSuffix(p[:n], []byte("\r\n.\r\n")) {
			c.quiet = false
		}
		return n, err
	}
	if line := strings.TrimSpace(string(p[:n])); line != "" {
		verb, _, _ := strings.Cut(line, " ")
		c.step = strings.ToUpper(verb)
		c.server.mu.Lock()
		c.server.said = append(c.server.said, line)
		c.server.mu.Unlock()
	}
	return n, err
}

func (c *prompted) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.quiet {
		return c.Conn.Write(p)
	}
	c.server.mu.Lock()
	reply := c.server.replies[c.step]
	c.server.mu.Unlock()
	if reply != "" {
		if _, err := c.Conn.Write([]byte(reply + "\r\n")); err != nil {
			return 0, err
		}
		if strings.HasPrefix(reply, "421") || c.step == Greeting {
			c.Conn.Close()
		}
		return len(p), nil
	}
	switch {
	case c.step == "DATA" && bytes.HasPrefix(p, []byte("354")):
		c.step, c.quiet = Body, true
	case c.step == "STARTTLS":
		c.quiet = true
	}
	return c.Conn.Write(p)
}
