"""Net::WebSocket's behaviour: what we keep of it, and the defects that we do not have.

A comment that begins with "Decision" tells where ours departs from it on purpose
(`docs/coming-from-net-websocket.md` says why), one with "Improved" where it was wrong.
"""
