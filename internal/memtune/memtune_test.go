package memtune

import (
	"runtime"
	"testing"
)

func TestPercentFor(t *testing.T) {
	for _, tc := range []struct {
		kept uint64
		want int
	}{
		{0, 1677721600},
		{4 << 20, 400},
		{16 << 20, 100},
		{40 << 20, 40},
		{400 << 20, 40},
	} {
		if got := percentFor(tc.kept); got != tc.want {
			t.Errorf("percentFor(%d) = %d, want %d", tc.kept, got, tc.want)
		}
	}
}

func TestAfterEachCollection(t *testing.T) {
	collected := make(chan struct{})
	afterEachCollection(func() { collected <- struct{}{} })
	for range 3 {
		runtime.GC()
		<-collected
	}
}
