package database

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// passwordLen is the length of a password. Without its dash it is worth 136 bits.
const passwordLen = 24

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// newPassword makes a password, and what statements get in its place: itself, or its verifier.
func (c *connection) newPassword(random io.Reader) (password, secret string, err error) {
	if password, err = newPassword(random); err != nil || c.Authentication != scramSHA256 {
		return password, password, err
	}
	secret, err = verifier(random, password)
	return password, secret, err
}

// newPassword makes a password that common rules accept: upper and lower case, digits, one dash, which
// stands at neither end.
func newPassword(random io.Reader) (string, error) {
	for {
		text, err := randomText(random, passwordLen-1)
		if err != nil {
			return "", err
		}
		if strings.ContainsAny(text, letters[:26]) && strings.ContainsAny(text, letters[26:52]) && strings.ContainsAny(text, letters[52:]) {
			at := passwordLen / 2
			return text[:at] + "-" + text[at:], nil
		}
	}
}

// randomText is n letters and digits, each as likely as any other.
func randomText(random io.Reader, n int) (string, error) {
	const fair = 256 / len(letters) * len(letters)
	text := make([]byte, 0, n)
	buf := make([]byte, n+n/4)
	for len(text) < n {
		if _, err := io.ReadFull(random, buf); err != nil {
			return "", fmt.Errorf("read randomness: %w", err)
		}
		for _, c := range buf {
			if int(c) < fair && len(text) < n {
				text = append(text, letters[int(c)%len(letters)])
			}
		}
	}
	return string(text), nil
}

const (
	scramSHA256     = "scram-sha-256"
	scramIterations = 4096 // PostgreSQL's own
	scramSalt       = 16   // bytes
)

// verifier is what PostgreSQL keeps of a password under SCRAM-SHA-256 (RFC 5803). Sent in place of the
// password it keeps that out of the server's logs. The password is ASCII, so SASLprep leaves it as it is.
func verifier(random io.Reader, password string) (string, error) {
	salt := make([]byte, scramSalt)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", fmt.Errorf("read randomness: %w", err)
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, scramIterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive the SCRAM verifier: %w", err)
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, b64(salt), b64(stored[:]), b64(mac("Server Key"))), nil
}
