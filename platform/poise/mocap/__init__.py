"""Motion capture files to 17 joints in metres, y up, in the order of Human3.6M."""
