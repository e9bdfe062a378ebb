"""A network as steps on integers, which forms for hardware write in their own words."""
