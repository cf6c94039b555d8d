// A program of goroutines under signals: signals SECONDS
//
// Goroutines that do nothing but compute are preempted by SIGURG, the profiler sends SIGPROF a
// thousand times a second, SIGUSR1 and SIGUSR2 are sent and received, and accesses to no memory are
// recovered from.
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var preempted, sent, received, faults, files int64

// fault reads where there is no memory.
func fault(at *[4]int) (value int) {
	defer func() {
		if recover() != nil {
			atomic.AddInt64(&faults, 1)
		}
	}()
	return at[2]
}

func main() {
	seconds, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	runtime.GOMAXPROCS(4)
	runtime.SetCPUProfileRate(1000)
	// It says that the rate is another one already, and keeps that one.
	pprof.StartCPUProfile(io.Discard)
	got := make(chan os.Signal, 64)
	signal.Notify(got, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for range got {
			atomic.AddInt64(&received, 1)
		}
	}()
	over := time.Now().Add(time.Duration(seconds) * time.Second)
	goes := func() bool { return time.Now().Before(over) }
	var all sync.WaitGroup
	work := func(count int, one func()) {
		for i := 0; i < count; i++ {
			all.Add(1)
			go func() {
				defer all.Done()
				for goes() {
					one()
				}
			}()
		}
	}
	work(8, func() {
		sum := 0
		for i := 0; i < 50_000_000; i++ {
			sum += i ^ sum
		}
		if sum == 1 {
			fmt.Println(sum)
		}
	})
	work(2, func() {
		for i := 0; i < 100; i++ {
			fault(nil)
		}
	})
	work(2, func() {
		for _, number := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2} {
			syscall.Kill(os.Getpid(), number)
			atomic.AddInt64(&sent, 1)
		}
	})
	work(2, func() {
		if _, err := os.ReadFile("/proc/self/stat"); err == nil {
			atomic.AddInt64(&files, 1)
		}
	})
	// Each collection of garbage preempts all.
	work(1, func() {
		runtime.GC()
		atomic.AddInt64(&preempted, 1)
	})
	all.Wait()
	pprof.StopCPUProfile()
	fmt.Printf("%d faults, %d signals sent, %d received, %d collections, %d files\n", faults, sent,
		received, preempted, files)
}
