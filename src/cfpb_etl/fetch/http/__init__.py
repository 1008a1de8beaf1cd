"""HTTP: requests, downloads, the rate limit, and the errors of servers."""
