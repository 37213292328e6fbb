"""Register files of real systems, read into one type, `RegisterFile`; `detect` tells which format a file has."""
