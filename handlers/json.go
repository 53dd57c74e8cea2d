package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"

	"countersign/grants"
	"countersign/input"
	"countersign/refusals"
)

// readBody reads a body of at most 64 KiB.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, grants.MaxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, malformed("the body could not be read")
	}
	return body, nil
}

func malformed(detail string) *refusals.Problem {
	return refusals.NewProblem(http.StatusBadRequest, "malformed", "Malformed body", detail)
}

// readJSON strictly decodes a body into the struct that into points to. The body must
// be one JSON object with known members only, each at most once; the same holds for the
// structs within. encoding/json would accept a name in another case, or take the last
// of two; a proxy in front of us could read such a body differently.
func readJSON(r *http.Request, into any) error {
	if len(r.Header.Values("Content-Type")) > 1 {
		return errMediaType
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := params["charset"]; err != nil || kind != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return errMediaType
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	return decodeObject(body, reflect.ValueOf(into).Elem())
}

// readOptional is readJSON, and takes no body for an empty object.
func readOptional(r *http.Request, into any) error {
	if r.ContentLength == 0 {
		return nil
	}
	return readJSON(r, into)
}

func decodeObject(body []byte, into reflect.Value) error {
	if !utf8.Valid(body) {
		return malformed("the body is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return malformed("the body is not a JSON object")
	}
	wrong, err := decodeMembers(dec, "", into, nil)
	if err != nil {
		return malformed("the body is not a JSON object")
	}
	if len(wrong) == maxWrong {
		return refusals.InvalidInput(wrong...)
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return malformed("the body is not a JSON object")
	}
	if _, err := dec.Token(); err != io.EOF {
		return malformed("something follows the JSON object")
	}
	if len(wrong) > 0 {
		return refusals.InvalidInput(wrong...)
	}
	return nil
}

// decodeMembers decodes the members of an object, after its opening brace. It adds the
// wrong ones to wrong, by prefix and name, and stops at maxWrong. It returns an error
// if the text is not JSON.
func decodeMembers(dec *json.Decoder, prefix string, into reflect.Value, wrong []input.Problem) ([]input.Problem, error) {
	fields := membersOf(into)
	seen := map[string]bool{}
	for dec.More() && len(wrong) < maxWrong {
		token, err := dec.Token()
		if err != nil {
			return wrong, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return wrong, err
		}
		key := token.(string)
		name := prefix + key
		field, known := fields[key]
		folded := strings.ToLower(key)
		switch {
		case seen[folded]:
			wrong = append(wrong, input.Problem{Field: shorten(name), Code: input.Repeated, Detail: "the member is repeated"})
		case !known:
			wrong = append(wrong, input.Problem{Field: shorten(name), Code: input.Unknown, Detail: "there is no such member"})
		default:
			if wrong, err = decodeValue(value, name, field, wrong); err != nil {
				return wrong, err
			}
		}
		seen[folded] = true
	}
	return wrong, nil
}

// decodeValue decodes the value of a member, which must be an object if its field is a
// struct. null leaves the field as it is, as if the member were absent.
func decodeValue(value json.RawMessage, name string, field reflect.Value, wrong []input.Problem) ([]input.Problem, error) {
	if string(value) == "null" { // of a json.RawMessage, too
		return wrong, nil
	}
	if field.Kind() == reflect.Struct {
		dec := json.NewDecoder(bytes.NewReader(value))
		switch start, err := dec.Token(); {
		case err != nil:
			return wrong, err
		case start == json.Delim('{'):
			return decodeMembers(dec, name+".", field, wrong)
		default:
			wrong = append(wrong, input.Problem{Field: name, Code: input.WrongType, Detail: "must be an object"})
		}
		return wrong, nil
	}
	if err := json.Unmarshal(value, field.Addr().Interface()); err != nil {
		wrong = append(wrong, input.Problem{Field: name, Code: input.WrongType, Detail: fmt.Sprintf("must be a %s", field.Kind())})
	} else if loneSurrogate(value, field) {
		wrong = append(wrong, input.Problem{Field: name, Code: input.InvalidCharacters, Detail: "has an unpaired surrogate"})
	}
	return wrong, nil
}

// maxWrong bounds how many wrong members an answer lists.
const maxWrong = 20

// loneSurrogate reports whether decoding put a replacement character in place of half a
// surrogate pair. Accepting it would make two different texts equal.
func loneSurrogate(raw json.RawMessage, field reflect.Value) bool {
	if field.Kind() != reflect.String {
		return false
	}
	meant := strings.Count(string(raw), "\uFFFD") + strings.Count(strings.ToLower(string(raw)), `\ufffd`)
	return strings.Count(field.String(), "\uFFFD") > meant
}

// membersOf maps the names of a struct's JSON members to its fields.
func membersOf(v reflect.Value) map[string]reflect.Value {
	members := map[string]reflect.Value{}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		members[name] = v.Field(i)
	}
	return members
}

// shorten cuts a name from the request, so that it can't fill the answer.
func shorten(name string) string {
	const most = 64
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "..."
}
