package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// terminal is a pseudo-terminal: what is written to keyboard is typed, what is shown is read from it.
type terminal struct {
	keyboard, device *os.File
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	var number, unlocked int32
	ioctl(t, keyboard, syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked))
	ioctl(t, keyboard, syscall.TIOCGPTN, unsafe.Pointer(&number))
	device, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	return &terminal{keyboard, device}
}

func ioctl(t *testing.T, file *os.File, verb uintptr, value unsafe.Pointer) {
	t.Helper()
	raw, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, verb, uintptr(value))
	})
	if err != nil || errno != 0 {
		t.Fatalf("ioctl %#x: %v, %v", verb, err, errno)
	}
}

// shows reports whether the terminal shows what is typed.
func (term *terminal) shows(t *testing.T) bool {
	t.Helper()
	var mode syscall.Termios
	ioctl(t, term.device, syscall.TCGETS, unsafe.Pointer(&mode))
	return mode.Lflag&syscall.ECHO != 0
}

// run starts the command on the terminal, types text once it is asked for something, and returns
// all that was shown and the exit code.
func (term *terminal) run(t *testing.T, address, text string, args ...string) (shown string, code int) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{
		Path: exe, Args: append([]string{"leasehold"}, args...),
		Env:   []string{"HOME=" + t.TempDir(), "VAULT_TOKEN=hvs.test", "VAULT_ADDR=" + address, "GORACE=atexit_sleep_ms=0"},
		Stdin: term.device, Stdout: term.device, Stderr: term.device,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true},
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	screen := make([]byte, 0, 4096)
	if err := term.keyboard.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		io.WriteString(term.device, "\x00") // nothing comes after this
	}()
	for typed := false; !strings.HasSuffix(string(screen), "\x00"); {
		n, err := term.keyboard.Read(screen[len(screen):cap(screen)])
		if err != nil {
			t.Fatalf("after %q: %v", screen, err)
		}
		if screen = screen[:len(screen)+n]; !typed && strings.HasSuffix(string(screen), "hidden): ") {
			typed = true
			if term.shows(t) {
				t.Error("the terminal would show what is typed now")
			}
			io.WriteString(term.keyboard, text)
		}
	}
	<-ended
	return string(screen), cmd.ProcessState.ExitCode()
}

// A password is typed where nobody can read it, and the terminal is afterwards as it was, also
// after an interrupt.
func TestPromptIsNotShown(t *testing.T) {
	var sent atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent.Store(string(body))
		io.WriteString(w, `{"auth":{"client_token":"hvs.ann"}}`)
	}))
	defer server.Close()
	for _, test := range []struct {
		name, typed, sent, shown string
		code                     int
	}{
		{"a password", "correct horse\n", `{"password":"correct horse"}`, "You are now authenticated", 0},
		{"a password and the end of input", "correct horse\x04\x04", `{"password":"correct horse"}`, "You are now authenticated", 0},
		{"an interrupt", "correct\x03", "", "interrupted", 1},
		{"nothing", "\n", "", "Nothing was typed", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			term := openTerminal(t)
			sent.Store("")
			shown, code := term.run(t, server.URL, test.typed, "login", "-method=userpass", "username=ann")
			if sent.Load() != test.sent || code != test.code || !strings.Contains(shown, test.shown) {
				t.Errorf("got exit code %d, sent %s, shown\n%s\nwant %d, %s and %q", code, sent.Load(), shown, test.code, test.sent, test.shown)
			}
			if strings.Contains(shown, "correct") {
				t.Errorf("the password was shown:\n%s", shown)
			}
			if !term.shows(t) {
				t.Error("the terminal does not show again what is typed")
			}
		})
	}
}

// Who waits for a job at a terminal sees how far it is, unless a plain output was asked for.
func TestProgressIsShown(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.Header().Set("X-Leasehold-Job", "7")
			w.WriteHeader(http.StatusAccepted)
			return
		}
		io.WriteString(w, `{"data":{"id":"7","state":"finished","total":3,"done":3}}`)
	}))
	defer server.Close()
	const progress = "finished: 3 found, 3 done, 0 failed"
	for _, test := range []struct {
		args  []string
		shown bool
	}{
		{[]string{"lease", "tidy", "-wait"}, true},
		{[]string{"lease", "tidy", "-wait", "-format=json"}, false},
	} {
		shown, code := openTerminal(t).run(t, server.URL, "", test.args...)
		if code != 0 || strings.Contains(shown, progress) != test.shown {
			t.Errorf("%q: got exit code %d and\n%s\nwant 0, and the progress: %v", test.args, code, shown, test.shown)
		}
	}
}
