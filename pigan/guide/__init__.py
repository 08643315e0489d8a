"""The camera guide: cameras of own data, estimated and shown."""
