"""What people who run a gateway may see and do over HTTP."""
