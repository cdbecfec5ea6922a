package webhook

// LimitInventory lowers the number of names that an inventory may have.
func (b *Backend) LimitInventory(names int) { b.maxNames = names }
