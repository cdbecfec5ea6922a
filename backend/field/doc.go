// Package field reads the parameters of a request as Vault does: leniently in form, strictly in
// meaning. A duration may be 600, "600", "30m" or "1d", a bool may be "1", a list may be "a,b";
// what cannot be converted is refused with the field's name and the reason.
//
// A Reader asks for each field once, keeps the first fault and at the end knows which parameters
// nobody asked for:
//
//	in := field.Read(req.Params)
//	ttl := in.Duration("ttl")
//	labels := in.StringMap("labels")
//	if len(labels) > 32 {
//		in.Failf("labels: %d entries, at most 32 are kept: drop some", len(labels))
//	}
//	if err := in.Err(); err != nil {
//		return nil, err // *lease.Error, code Invalid
//	}
//
// The Parse functions beside it convert single values that do not come from parameters, such as
// headers and settings. ParseObject reads JSON from people and services nobody vouches for.
// Nothing here reads a clock or does I/O.
package field
