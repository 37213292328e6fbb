"""What instruments found: tables with their kinds and units, histograms that merge, and how both are saved."""
