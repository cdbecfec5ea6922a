package awstest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// element is a piece of an answer.
type element struct {
	name string
	text string
	kids []*element
}

func node(name string, kids ...*element) *element { return &element{name: name, kids: kids} }

func text(name, value string) *element { return &element{name: name, text: value} }

func date(name string, t time.Time) *element {
	return text(name, t.UTC().Format("2006-01-02T15:04:05Z"))
}

func (e *element) String() string {
	var b strings.Builder
	e.write(&b)
	return b.String()
}

func (e *element) write(b *strings.Builder) {
	b.WriteString("<" + e.name + ">")
	var escaped bytes.Buffer
	xml.EscapeText(&escaped, []byte(e.text)) // a Buffer takes everything
	b.Write(escaped.Bytes())
	for _, kid := range e.kids {
		kid.write(b)
	}
	b.WriteString("</" + e.name + ">")
}

// apiError is an answer that says no.
type apiError struct {
	status        int
	code, message string
}

func errorf(status int, code, format string, args ...any) *apiError {
	return &apiError{status, code, fmt.Sprintf(format, args...)}
}

// page cuts a list to one page and writes it under name.
func (c *call) page(name string, items []*element) (*element, *apiError) {
	from := 0
	if marker := c.form.Get("Marker"); marker != "" {
		n, err := strconv.Atoi(marker)
		if err != nil || n < 0 || n > len(items) {
			return nil, errorf(400, "InvalidInput", "Invalid Marker")
		}
		from = n
	}
	size := c.pageSize
	if asked, err := strconv.Atoi(c.form.Get("MaxItems")); err == nil && asked > 0 {
		size = min(size, asked)
	}
	rest := items[from:]
	out := node("", node(name, rest[:min(size, len(rest))]...))
	if len(rest) <= size {
		out.kids = append(out.kids, text("IsTruncated", "false"))
		return out, nil
	}
	out.kids = append(out.kids, text("IsTruncated", "true"), text("Marker", strconv.Itoa(from+size)))
	return out, nil
}

// tags reads Tags.member.1.Key and its value, and so on.
func (c *call) tags() map[string]string {
	tags := map[string]string{}
	for i := 1; c.form.Has(fmt.Sprintf("Tags.member.%d.Key", i)); i++ {
		tags[c.form.Get(fmt.Sprintf("Tags.member.%d.Key", i))] = c.form.Get(fmt.Sprintf("Tags.member.%d.Value", i))
	}
	return tags
}
