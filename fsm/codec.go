package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"

	"github.com/leasehold/leasehold/fsm/command"
	"github.com/leasehold/leasehold/lease"
)

// Command is one of the messages of package command that may travel in the log.
type Command = proto.Message

// entryVersion is the format of entries that this build writes and the newest it reads.
const entryVersion = 1

// commandTypes numbers the commands. A number is never reused and never changes its meaning.
var commandTypes = map[byte]func() Command{
	1:  func() Command { return new(command.Init) },
	2:  func() Command { return new(command.Epoch) },
	3:  func() Command { return new(command.Tick) },
	4:  func() Command { return new(command.SetFeatureLevel) },
	5:  func() Command { return new(command.PutNode) },
	6:  func() Command { return new(command.DeleteNode) },
	10: func() Command { return new(command.Issue) },
	11: func() Command { return new(command.Reserve) },
	12: func() Command { return new(command.Activate) },
	13: func() Command { return new(command.Renew) },
	14: func() Command { return new(command.Revoke) },
	15: func() Command { return new(command.Expire) },
	16: func() Command { return new(command.Claim) },
	17: func() Command { return new(command.Finish) },
	18: func() Command { return new(command.Fail) },
	20: func() Command { return new(command.OpenJob) },
	21: func() Command { return new(command.Sweep) },
	22: func() Command { return new(command.OpenTidy) },
	30: func() Command { return new(command.CreateToken) },
	31: func() Command { return new(command.RenewToken) },
	32: func() Command { return new(command.UseToken) },
	33: func() Command { return new(command.RevokeToken) },
	40: func() Command { return new(command.PutPolicy) },
	41: func() Command { return new(command.DeletePolicy) },
	42: func() Command { return new(command.EnableMount) },
	43: func() Command { return new(command.TuneMount) },
	44: func() Command { return new(command.DisableMount) },
	45: func() Command { return new(command.PutEntry) },
	46: func() Command { return new(command.DeleteEntry) },
	47: func() Command { return new(command.PutNamespace) },
	48: func() Command { return new(command.DeleteNamespace) },
	49: func() Command { return new(command.CreateNamespace) },
	50: func() Command { return new(command.CloseNamespace) },
	51: func() Command { return new(command.SwapEntry) },
	52: func() Command { return new(command.FreezeMount) },
	53: func() Command { return new(command.ThawMount) },
	54: func() Command { return new(command.SetMountHealth) },
	55: func() Command { return new(command.RetryRevocations) },
	56: func() Command { return new(command.MoveMount) },
	57: func() Command { return new(command.SetAutopilot) },
	58: func() Command { return new(command.PutJoinToken) },
	59: func() Command { return new(command.UseJoinToken) },
	60: func() Command { return new(command.ReleaseHold) },
	61: func() Command { return new(command.Lineage) },
}

// commandNumbers is the inverse of commandTypes.
var commandNumbers = func() map[reflect.Type]byte {
	m := make(map[reflect.Type]byte, len(commandTypes))
	for n, make := range commandTypes {
		m[reflect.TypeOf(make())] = n
	}
	return m
}()

// EncodeCommand frames cmd for EncodeEntry: its length, its type number, its body.
func EncodeCommand(cmd Command) ([]byte, error) {
	number, ok := commandNumbers[reflect.TypeOf(cmd)]
	if !ok {
		return nil, fmt.Errorf("%T is not a command", cmd)
	}
	size := proto.Size(cmd)
	buf := make([]byte, 0, size+1+binary.MaxVarintLen32)
	buf = binary.AppendUvarint(buf, uint64(size+1))
	buf = append(buf, number)
	return proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(buf, cmd)
}

// EncodeEntry packs framed commands, stamped with log time now, into one log entry.
func EncodeEntry(now lease.Time, framed [][]byte) []byte {
	size := 2 + 2*binary.MaxVarintLen64
	for _, f := range framed {
		size += len(f)
	}
	buf := make([]byte, 0, size)
	buf = append(buf, entryVersion, 0) // version; flags, of which there are none yet
	buf = binary.AppendUvarint(buf, uint64(len(framed)))
	buf = binary.AppendVarint(buf, int64(now))
	for _, f := range framed {
		buf = append(buf, f...)
	}
	return buf
}

// errMalformed is for bytes that no version of this program writes. Such an entry or command is
// the same no-op on every node (S19).
var errMalformed = errors.New("malformed")

// decoded is one command of an entry; cmd is nil when its bytes are malformed.
type decoded struct{ cmd Command }

// decodeEntry is total: it returns commands, or errMalformed, or an error that must stop the node
// because a newer version wrote the entry.
func decodeEntry(entry []byte) (lease.Time, []decoded, error) {
	if len(entry) < 2 {
		return 0, nil, errMalformed
	}
	if v := entry[0]; v == 0 || v > entryVersion {
		return 0, nil, fmt.Errorf("the log entry has format version %d and this build reads up to %d: "+
			"run a newer leasehold on this node", v, entryVersion)
	}
	if entry[1] != 0 {
		return 0, nil, fmt.Errorf("the log entry has flags %#x that this build does not know: "+
			"run a newer leasehold on this node", entry[1])
	}
	rest := entry[2:]
	count, n := binary.Uvarint(rest)
	if n <= 0 || count > uint64(len(rest)) {
		return 0, nil, errMalformed
	}
	rest = rest[n:]
	now, n := binary.Varint(rest)
	if n <= 0 {
		return 0, nil, errMalformed
	}
	rest = rest[n:]
	cmds := make([]decoded, 0, count)
	for range count {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size == 0 || size > uint64(len(rest)-n) {
			return 0, nil, errMalformed
		}
		cmd, err := decodeCommand(rest[n], rest[n+1:n+int(size)])
		if err != nil {
			return 0, nil, err
		}
		cmds = append(cmds, decoded{cmd})
		rest = rest[n+int(size):]
	}
	if len(rest) != 0 {
		return 0, nil, errMalformed
	}
	return lease.Time(now), cmds, nil
}

func decodeCommand(number byte, body []byte) (Command, error) {
	mk, ok := commandTypes[number]
	if !ok {
		return nil, fmt.Errorf("the log holds a command of type %d that this build does not know: "+
			"run a newer leasehold on this node", number)
	}
	cmd := mk()
	if err := proto.Unmarshal(body, cmd); err != nil {
		return nil, nil
	}
	return cmd, nil
}
