"""What a tab's page may ask of the studio: requests in, checked; answers out. No widgets here."""
