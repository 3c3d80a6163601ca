package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// process is one part under test.
type process struct {
	role string // nats-server, callout, tokencheck, policy, standalone
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// startProcess runs a program with its output in a file below dir. It dies with this process.
func startProcess(dir, role, program string, args ...string) (*process, error) {
	log, err := os.CreateTemp(dir, role+".*.log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()    // the child has its own descriptor
	cmd := exec.Command(program, args...) //nolint:gosec // the tool's own parts
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	p := &process{role: role, cmd: cmd, log: log.Name(), done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop asks, then insists.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.done:
		return
	case <-time.After(15 * time.Second):
	}
	p.kill()
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// ended returns an error, with the last lines of its log, when the process is no longer there.
func (p *process) ended() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	text, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s ended (%w):\n%s", p.role, errors.Join(p.err, errEnded), tail(text, 2000))
}

var errEnded = errors.New("not asked to")

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// clockTick is the unit of /proc/PID/stat on every Linux that Go runs on (USER_HZ).
const clockTick = 10 * time.Millisecond

// cpu returns the CPU time that the process has used, in user and kernel mode.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "stat"))
	if err != nil {
		return 0, errors.Join(err, p.ended())
	}
	// The second field, the program's name in parentheses, may hold anything; utime and stime are fields 14 and 15.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc stat of %s: too few fields", p.role)
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	kernel, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+kernel) * clockTick, errors.Join(err1, err2)
}

// ownCPU returns the CPU time of this process: the load.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuOf sums the CPU time of processes by role; the load is this process.
func cpuOf(processes []*process) (map[string]time.Duration, error) {
	used := map[string]time.Duration{"load": ownCPU()}
	for _, p := range processes {
		d, err := p.cpu()
		if err != nil {
			return nil, err
		}
		used[p.role] += d
	}
	return used, nil
}

// busySince returns how many processors each role kept busy on average for as long as lasted, at whose start cpuOf was before.
func busySince(processes []*process, before map[string]time.Duration, lasted time.Duration) (map[string]float64, error) {
	after, err := cpuOf(processes)
	if err != nil {
		return nil, err
	}
	busy := make(map[string]float64, len(after))
	for role, used := range after {
		busy[role] = (used - before[role]).Seconds() / lasted.Seconds()
	}
	return busy, nil
}
