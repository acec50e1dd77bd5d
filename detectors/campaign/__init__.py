"""Messages that are one campaign: near-duplicates of suspicious texts, and one text from many numbers."""

from detectors.campaign.detector import Campaigns, TextCounts
from detectors.campaign.index import CampaignIndex

__all__ = ["CampaignIndex", "Campaigns", "TextCounts"]
