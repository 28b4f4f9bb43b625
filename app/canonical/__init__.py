"""What a conversation is, whoever speaks it. Values only: nothing here does input or output."""
