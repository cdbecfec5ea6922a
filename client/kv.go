package client

import "context"

// KVGet reads what is kept under a key of a mount of type "kv", version 1. A key that is not there
// is an *Error of code NotFound.
func (c *Client) KVGet(ctx context.Context, mount, key string) (*Secret, error) {
	path, err := below(mount, key)
	if err != nil {
		return nil, err
	}
	return c.Read(ctx, path, nil)
}

// KVPut keeps data under a key of a mount of type "kv", version 1, in place of what was there.
func (c *Client) KVPut(ctx context.Context, mount, key string, data map[string]any) error {
	path, err := below(mount, key)
	if err != nil {
		return err
	}
	_, err = c.Write(ctx, path, data)
	return err
}

// KVList lists one level of the keys below a prefix, or with "" of the whole mount; names that end
// in a slash go deeper. A place that holds no keys is an *Error of code NotFound.
func (c *Client) KVList(ctx context.Context, mount, prefix string, page Page) (*Envelope[KeyList], error) {
	return c.List(ctx, join(mount, prefix), page)
}

// KVDelete forgets what is kept under a key. One that does not exist is no error.
func (c *Client) KVDelete(ctx context.Context, mount, key string) error {
	path, err := below(mount, key)
	if err != nil {
		return err
	}
	_, err = c.Delete(ctx, path, nil)
	return err
}
