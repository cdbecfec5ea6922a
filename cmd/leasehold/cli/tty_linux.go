package cli

import (
	"os"
	"syscall"
	"unsafe"
)

// readMode reads how a terminal is set; the error says that file is none.
func readMode(file *os.File) (syscall.Termios, error) {
	var mode syscall.Termios
	err := control(file, syscall.TCGETS, &mode)
	return mode, err
}

// hide lets a terminal show no more of what is typed than the ends of lines, until show is called.
func hide(file *os.File) (show func(), err error) {
	mode, err := readMode(file)
	if err != nil {
		return nil, err
	}
	hidden := mode
	hidden.Lflag &^= syscall.ECHO
	hidden.Lflag |= syscall.ICANON | syscall.ISIG | syscall.ECHONL
	hidden.Iflag |= syscall.ICRNL
	if err := control(file, syscall.TCSETS, &hidden); err != nil {
		return nil, err
	}
	return func() {
		_ = control(file, syscall.TCSETS, &mode) // it was set so a moment ago; if it is gone, nobody sees it
	}, nil
}

// control asks the terminal's driver to read or write its mode.
func control(file *os.File, verb uintptr, mode *syscall.Termios) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, verb, uintptr(unsafe.Pointer(mode)))
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}
