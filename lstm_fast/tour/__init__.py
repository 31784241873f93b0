"""The tour: how an LSTM works, told on the terminal in numbers that the library computes while one reads.

    story.py       the seven sections in order; the only file that prints
    gradients.py   1  a plain RNN and an LSTM unrolled over 50 steps
    unit.py        2  the activations; 3, 4  the LSTM unit, its weights and the two companies
    training.py    5  backpropagation through time with a small Adam, and the progress bar
    sunspots.py    6  a real series: the forecast and what it must beat
    speed.py       7  the speed table
    pictures.py    all pictures; the only file that needs matplotlib

Nothing outside this folder imports it, but the command line (lstm_fast/__main__.py).
"""
