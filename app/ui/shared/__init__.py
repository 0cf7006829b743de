"""What every page uses: the visitor's session, jobs, the password, safe text."""
