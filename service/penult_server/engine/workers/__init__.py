"""Worker processes: what runs in them (kinds, task, __main__) and how the server drives them (processes)."""
