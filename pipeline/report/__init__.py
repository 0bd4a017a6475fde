"""The report: one HTML page that opens offline, made of sections that each read the tables and fill one template."""
