"""What travels between the tool and a framework's interpreter: cases, arrays and the file that carries them."""
