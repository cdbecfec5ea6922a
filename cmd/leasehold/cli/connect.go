package cli

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leasehold/leasehold/client"
)

// globals are the flags that every command takes.
type globals struct {
	address, token, namespace string
	wrapTTL                   seconds
	tls                       client.TLSConfig
	header                    []string
	format                    string
}

// register gives root the flags; its subcommands inherit them.
func (g *globals) register(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&g.address, "address", "", "address of a node (VAULT_ADDR; default "+client.DefaultAddress+")")
	flags.StringVar(&g.token, "token", "", "token to use (VAULT_TOKEN; then the one stored by \"login\"). Others on this machine can see it: better use the variable")
	flags.StringVar(&g.namespace, "namespace", "", "namespace to work in, also spelled -ns (VAULT_NAMESPACE)")
	flags.StringVar(&g.namespace, "ns", "", "same as -namespace")
	flags.Var(&g.wrapTTL, "wrap-ttl", "put the answer aside for this long, under a token for \"unwrap\" that opens it once (VAULT_WRAP_TTL)")
	flags.StringVar(&g.tls.CACert, "ca-cert", "", "PEM file of the authority to trust (VAULT_CACERT)")
	flags.StringVar(&g.tls.CAPath, "ca-path", "", "directory of such files (VAULT_CAPATH)")
	flags.StringVar(&g.tls.ClientCert, "client-cert", "", "PEM file of the certificate to show (VAULT_CLIENT_CERT)")
	flags.StringVar(&g.tls.ClientKey, "client-key", "", "PEM file of its key (VAULT_CLIENT_KEY)")
	flags.StringVar(&g.tls.ServerName, "tls-server-name", "", "name that the server's certificate must have (VAULT_TLS_SERVER_NAME)")
	flags.BoolVar(&g.tls.SkipVerify, "tls-skip-verify", false, "trust any certificate: for experiments only (VAULT_SKIP_VERIFY)")
	flags.StringArrayVar(&g.header, "header", nil, "\"key=value\" to send as a header; may be repeated")
	flags.StringVar(&g.format, "format", "", "table, json or yaml (VAULT_FORMAT; default table)")
	_ = flags.MarkHidden("ns") // it was registered above: cannot fail
}

// connect makes the client from flags, environment and token file, in this order.
func (a *app) connect() (*client.Client, error) {
	config, err := client.ConfigFromEnv()
	if err != nil {
		return nil, localf(err, "reading the environment", "Correct or unset the variable.")
	}
	if config.MaxRetries == 0 {
		config.MaxRetries = client.NoRetries // a person, or a script, sees at once and decides
	}
	g := &a.global
	for _, set := range []struct{ flag, into *string }{
		{&g.address, &config.Address},
		{&g.token, &config.Token},
		{&g.namespace, &config.Namespace},
		{&g.tls.CACert, &config.TLS.CACert},
		{&g.tls.CAPath, &config.TLS.CAPath},
		{&g.tls.ClientCert, &config.TLS.ClientCert},
		{&g.tls.ClientKey, &config.TLS.ClientKey},
		{&g.tls.ServerName, &config.TLS.ServerName},
	} {
		if *set.flag != "" {
			*set.into = *set.flag
		}
	}
	if g.wrapTTL != 0 {
		config.WrapTTL = g.wrapTTL.wire()
	}
	config.TLS.SkipVerify = config.TLS.SkipVerify || g.tls.SkipVerify
	if config.Token == "" {
		if config.Token, err = storedToken(); err != nil {
			return nil, localf(err, "reading the stored token", "Store another with \"leasehold login\", or set VAULT_TOKEN.")
		}
	}
	config.Header = http.Header{}
	for _, header := range g.header {
		name, value, ok := strings.Cut(header, "=")
		if !ok || name == "" {
			return nil, usagef("The header %s is not of the form key=value.", quote(header))
		}
		config.Header.Add(name, value)
	}
	c, err := client.New(config)
	if err != nil {
		return nil, localf(err, "setting up the connection", "See the flags and variables under \"Global Flags\" of -help.")
	}
	return c, nil
}

// addressSource tells, in a user's words, what the address is and who said so.
func (a *app) addressSource() string {
	if a.global.address != "" {
		return a.global.address + " (from the flag -address)"
	}
	if value, variable := client.Env("ADDR"); variable != "" {
		return value + " (from the variable " + variable + ")"
	}
	return client.DefaultAddress + " (the default; neither -address nor VAULT_ADDR is set)"
}

// tokenSource tells where the token came from.
func (a *app) tokenSource() string {
	if a.global.token != "" {
		return "the token came from the flag -token"
	}
	if _, variable := client.Env("TOKEN"); variable != "" {
		return "the token came from the variable " + variable
	}
	if token, err := storedToken(); err == nil && token != "" {
		return "the token came from ~/" + tokenFileName
	}
	return "no token was sent"
}

// tokenFileName is the file in the home directory that holds the token of the last login. Vault's
// tools read and write the same one.
const tokenFileName = ".vault-token"

func tokenFile() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, tokenFileName), nil
}

// storedToken reads the token file; without one, or without a home, there is no token.
func storedToken() (string, error) {
	name, err := tokenFile()
	if err != nil {
		return "", nil
	}
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(content)), err
}

// storeToken writes the token file for its owner's eyes only.
func storeToken(token string) error {
	name, err := tokenFile()
	if err != nil {
		return err
	}
	return writeFile(name, []byte(token))
}

// writeFile replaces a file as a whole, with mode 0600.
func writeFile(name string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // after the rename there is nothing to remove
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}
