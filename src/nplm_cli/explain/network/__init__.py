"""One prediction of a neural network, looked at from the word vectors to the softmax (torch).

reading.py       the model, what a prediction sees, what it would say of other words
layers.py        units, gates and attention weights on the way
output_layer.py  out of what a logit is made
attribution.py   which word of the context moved the prediction
explanation.py   all of it as one record
"""
