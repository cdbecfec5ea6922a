package lessor

import (
	"encoding/hex"
	"io"
	"strings"

	"github.com/google/uuid"

	"github.com/leasehold/leasehold/lease"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// randomText returns n base62 characters from rand, each as likely as any other.
func randomText(rand io.Reader, n int) (string, error) {
	const fair = 256 / len(base62) * len(base62) // bytes from here on would favour the first characters
	var b strings.Builder
	b.Grow(n)
	buf := make([]byte, n+n/8+1)
	for b.Len() < n {
		if _, err := io.ReadFull(rand, buf); err != nil {
			return "", &lease.Error{Code: lease.Internal, Message: "no randomness to be had", Err: err}
		}
		for _, c := range buf {
			if int(c) < fair && b.Len() < n {
				b.WriteByte(base62[int(c)%len(base62)])
			}
		}
	}
	return b.String(), nil
}

// randomHex returns n random bytes as 2n hex digits.
func randomHex(rand io.Reader, n int) (string, error) {
	buf := make([]byte, n)
	if _, err := io.ReadFull(rand, buf); err != nil {
		return "", &lease.Error{Code: lease.Internal, Message: "no randomness to be had", Err: err}
	}
	return hex.EncodeToString(buf), nil
}

func randomUUID(rand io.Reader) (string, error) {
	id, err := uuid.NewRandomFromReader(rand)
	if err != nil {
		return "", &lease.Error{Code: lease.Internal, Message: "no randomness to be had", Err: err}
	}
	return id.String(), nil
}
