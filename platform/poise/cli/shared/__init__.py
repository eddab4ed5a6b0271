"""What the commands share: options, help, output."""
