package lessor

import (
	"context"

	"github.com/leasehold/leasehold/fsm/command"
)

// Tidy opens the job that revokes the leases of a namespace whose owner is gone, by the ordinary
// retried path, and returns its ID. While one marks leases, in any namespace, another is not started:
// then the one under way is returned.
func (l *Lessor) Tidy(ctx context.Context, ns string) (jobID uint64, started bool, err error) {
	res, err := l.propose(ctx, &command.OpenTidy{Namespace: ns})
	if err != nil {
		return 0, false, err
	}
	if res.Repeated {
		l.log.Warn("tidy operation on leases is already in progress", "job", res.Job.ID)
	} else {
		l.log.Info("tidying leases", "namespace", ns, "job", res.Job.ID)
	}
	return res.Job.ID, !res.Repeated, nil
}
