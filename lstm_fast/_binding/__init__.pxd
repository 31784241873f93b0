# Makes this folder a package for cimport; Python sees the module lstm_fast._core alone.
