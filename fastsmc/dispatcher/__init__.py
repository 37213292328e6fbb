"""The dispatch instrument: verdicts, answers and power state of batches of calls, and how long they take."""
