package awstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxAge is how old a signature may be.
const maxAge = 15 * time.Minute

// identity is who makes a call.
type identity struct {
	user    string
	arn     string
	id      string
	session *session // nil: a user's own key
}

var authorization = regexp.MustCompile(
	`^AWS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([a-z0-9-]+)/([a-z]+)/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$`)

// authenticate finds out who signed a request. The order of the checks is AWS's: an unknown key first.
func (s *Server) authenticate(r *http.Request, body []byte, service string, now time.Time) (identity, *apiError) {
	parts := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	if parts == nil {
		return identity{}, errorf(http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token")
	}
	who, secret, failure := s.lookUp(parts[1], r.Header.Get("X-Amz-Security-Token"), now)
	if failure != nil {
		return identity{}, failure
	}
	signed := strings.Split(parts[5], ";")
	if !slices.Contains(signed, "host") || !slices.Contains(signed, "x-amz-date") || parts[4] != service {
		return identity{}, errorf(http.StatusForbidden, "SignatureDoesNotMatch", "host, date and service have to be signed")
	}
	stamp := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", stamp)
	if err != nil || !strings.HasPrefix(stamp, parts[2]) {
		return identity{}, errorf(http.StatusForbidden, "IncompleteSignature", "Date in Credential scope does not match")
	}
	if s.skew == 0 && now.Sub(at).Abs() > maxAge {
		return identity{}, errorf(http.StatusForbidden, "RequestExpired", "Request has expired")
	}
	scope := strings.Join([]string{parts[2], parts[3], parts[4], "aws4_request"}, "/")
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hexHash(canonical(r, body, signed))}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	if got, _ := hex.DecodeString(parts[6]); !hmac.Equal(got, mac(key, toSign)) {
		// AWS quotes the request here, too.
		return identity{}, errorf(http.StatusForbidden, "SignatureDoesNotMatch",
			"The request signature we calculated does not match the signature you provided. The Canonical String for this request should have been '%s'",
			canonical(r, body, signed))
	}
	return who, nil
}

// lookUp finds the secret of a key.
func (s *Server) lookUp(id, token string, now time.Time) (identity, string, *apiError) {
	unknown := errorf(http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
	if temporary, ok := s.account.sessions[id]; ok {
		switch {
		case temporary.token != token:
			return identity{}, "", unknown
		case !now.Before(temporary.ends):
			return identity{}, "", errorf(http.StatusForbidden, "ExpiredToken", "The security token included in the request is expired")
		}
		return identity{user: temporary.user, arn: temporary.arn, id: temporary.userID, session: temporary}, temporary.Secret, nil
	}
	for _, u := range s.account.users {
		for _, key := range u.keys {
			if key.ID == id && !key.inactive && now.Sub(key.created) >= s.lags.Keys && token == "" {
				return identity{user: u.name, arn: u.arn(), id: u.id}, key.Secret, nil
			}
		}
	}
	return identity{}, "", unknown
}

// canonical is the form of a request that is signed.
func canonical(r *http.Request, body []byte, signed []string) string {
	var headers strings.Builder
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		headers.WriteString(name + ":" + strings.Join(strings.Fields(value), " ") + "\n")
	}
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	query := strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20")
	return strings.Join([]string{r.Method, path, query, headers.String(), strings.Join(signed, ";"), hexHash(string(body))}, "\n")
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// encodeDocument writes a policy as IAM does.
func encodeDocument(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
