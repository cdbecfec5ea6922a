package aws

import "time"

// Hurry makes the pauses between looks at AWS short.
func (b *Backend) Hurry(d time.Duration) { b.pace = pace{d, d, d} }
