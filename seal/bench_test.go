package seal_test

import "testing"

const benchToken = "hvs.CAESIJzHk3vXyLrPq0wqmvAoYt1hQm2ZtB5xTn8Jd0cRkVgGh4KHGh2cy5aQmVu"

func BenchmarkHashToken(b *testing.B) {
	ring := keyring(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		ring.HashToken(benchToken)
	}
}

func BenchmarkHashTokenParallel(b *testing.B) {
	ring := keyring(b, 1)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ring.HashToken(benchToken)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	ring, plain := keyring(b, 1), make([]byte, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Seal("lease/aws/creds/x/1/internal", plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	ring := keyring(b, 1)
	blob := sealed(b, ring, "p", string(make([]byte, 256)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Open("p", blob); err != nil {
			b.Fatal(err)
		}
	}
}
