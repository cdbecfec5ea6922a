package lessor

import (
	"bytes"
	"encoding/json"

	"github.com/leasehold/leasehold/lease"
)

// decodeObject reads a JSON object that this product wrote; numbers keep their digits.
func decodeObject(text []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil {
		return nil, &lease.Error{Code: lease.Internal, Message: "kept data cannot be read", Err: err}
	}
	return object, nil
}
