"""Named, versioned rules by which papers grade registrations."""
