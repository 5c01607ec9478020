"""Conformance: the Autobahn|Testsuite against our server and our client.  See README.md."""
