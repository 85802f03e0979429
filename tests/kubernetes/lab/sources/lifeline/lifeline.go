// Package lifeline ends a program when the process that started it is gone, however that ended.
package lifeline

import (
	"os"
	"strconv"
	"syscall"
)

// Variable names the file descriptor of a pipe that nobody writes to. Its other end is held by the
// process that started this one: when that ends, the kernel closes it. See harness/system/lifeline.py.
const Variable = "HARNESS_LIFELINE_FD"

// exitStatus is that of a process which SIGKILL ended: there was nobody to say goodbye to.
const exitStatus = 128 + int(syscall.SIGKILL)

// Watch ends this process once its lifeline closes. Without a lifeline it does nothing.
func Watch() {
	descriptor, err := strconv.Atoi(os.Getenv(Variable))
	if err != nil {
		return
	}
	syscall.CloseOnExec(descriptor)
	os.Unsetenv(Variable)
	pipe := os.NewFile(uintptr(descriptor), "lifeline")
	if pipe == nil {
		return
	}
	go func() {
		one := make([]byte, 1)
		for {
			if _, err := pipe.Read(one); err != nil {
				os.Exit(exitStatus)
			}
		}
	}()
}
