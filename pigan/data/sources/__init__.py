"""Where raw data comes from: the catalog, downloads, archives."""
