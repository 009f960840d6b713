"""Pure image code that more than one service needs: numpy in, numpy out."""
