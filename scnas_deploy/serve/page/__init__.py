"""The server's page: what goes on, for people with browsers. Nothing there changes anything."""
