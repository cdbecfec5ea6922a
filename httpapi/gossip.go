package httpapi

// gossipKeyring serves sys/storage/raft/gossip-keyring.
func (s *Server) gossipKeyring(c *call) (answer, error) {
	return describeKeyring(s.node.GossipKeyring(c.ctx))
}

// installGossipKey serves the same with /install.
func (s *Server) installGossipKey(c *call) (answer, error) { return s.changeKeyring(c, "install") }

// useGossipKey serves the same with /use.
func (s *Server) useGossipKey(c *call) (answer, error) { return s.changeKeyring(c, "use") }

// removeGossipKey serves the same with /remove.
func (s *Server) removeGossipKey(c *call) (answer, error) { return s.changeKeyring(c, "remove") }

func (s *Server) changeKeyring(c *call, step string) (answer, error) {
	in := c.reader()
	key := in.String("key")
	if key == "" && in.Err() == nil {
		in.Failf("key is missing: give the gossip key in base64, or for use and remove its fingerprint")
	}
	if err := in.Err(); err != nil {
		return answer{}, err
	}
	return describeKeyring(s.node.ChangeGossipKeyring(c.ctx, step, key))
}

func describeKeyring(ring GossipKeyring, err error) (answer, error) {
	return answer{data: ring.Keys, warnings: ring.Warnings, mountType: systemType}, err
}
