"""What a loop has done, for whoever has to believe it: worked out from files whenever it is asked for, never kept."""
